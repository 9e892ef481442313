# SPDX-License-Identifier: Apache-2.0
"""The one kind of error the lab raises on purpose."""


class LabError(Exception):
    """A sentence for the person who ran the command; no traceback."""
