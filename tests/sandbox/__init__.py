"""Tests of the stand-in API and its restaurant, over raw HTTP and without the product's client."""
