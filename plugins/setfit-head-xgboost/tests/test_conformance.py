import pytest

from setfit_core.testing import HeadConformance

pytestmark = pytest.mark.slow


class TestXGBoostHead(HeadConformance):
    make_head = "xgboost"
