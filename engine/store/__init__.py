"""Everything that speaks SQL: tables, statements and migrations."""
