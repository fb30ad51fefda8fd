"""A stand-in for a Yeastar P-Series, made from the vendor's developer guide."""
