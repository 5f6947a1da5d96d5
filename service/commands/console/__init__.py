"""What commands share: options, tables, progress and errors on a terminal."""
