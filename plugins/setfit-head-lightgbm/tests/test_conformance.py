import pytest

from setfit_core.testing import HeadConformance

pytestmark = pytest.mark.slow


class TestLightGBMHead(HeadConformance):
    make_head = "lightgbm"
