"""The ledger's schema, step by step; run by `nbprod.ledger.schema`, never by hand."""
