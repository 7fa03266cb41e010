import pytest

from setfit_core.testing import HeadConformance

pytestmark = pytest.mark.slow


class TestPrototypeHead(HeadConformance):
    make_head = "prototype"
