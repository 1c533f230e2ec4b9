"""Settings of all tests."""

from hypothesis import settings

# A busy machine is no fault of the code, so no example has a deadline.
settings.register_profile("same", deadline=None, derandomize=True)  # every run tries the same examples
settings.register_profile("search", deadline=None, max_examples=300, print_blob=True)  # every run tries new ones
settings.load_profile("same")  # pytest --hypothesis-profile=search
