"""A source of the size of a page, added as CONTRIBUTING.md says (tests/collectors/test_a_new_source.py)."""
