"""Files by what they hold: one module per kind, each yields Arrow record batches."""
