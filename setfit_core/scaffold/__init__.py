"""Starting a new head: a complete package, written from the template files in `templates/`."""

from setfit_core.scaffold.naming import HeadNames
from setfit_core.scaffold.writing import write_package

__all__ = ["HeadNames", "write_package"]
