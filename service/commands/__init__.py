"""The console command's subcommands."""
