"""What is done beside requests: jobs, webhooks, replies kept to be repeated, removal of what expired."""
