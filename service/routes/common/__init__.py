"""What several routes share: dependencies, form fields of options, and tables as replies."""
