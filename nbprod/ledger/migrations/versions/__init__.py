"""One module per schema version, with the SQL of each kind of database beside it."""
