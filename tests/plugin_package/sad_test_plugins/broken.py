"""An environment whose library is missing."""

print("about to fail")  # what a plugin prints is not the harness's output

import a_library_that_nobody_has  # noqa: E402, F401
