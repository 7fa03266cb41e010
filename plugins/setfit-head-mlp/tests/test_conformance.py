import pytest

from setfit_core.testing import HeadConformance

pytestmark = pytest.mark.slow


class TestMLPHead(HeadConformance):
    make_head = "mlp"
