//! OpenAPI documents, made on demand from the table of shapes and the registry.
