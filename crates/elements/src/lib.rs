//! The vocabulary of flow records: information elements, templates and values.
