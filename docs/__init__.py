"""Makes ``docs._reference`` importable, by the hooks of the site and by its tests."""
