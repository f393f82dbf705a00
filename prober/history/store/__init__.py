"""History in SQL: tables, one batched writer, queries, the schema's version."""
