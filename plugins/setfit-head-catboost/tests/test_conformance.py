import pytest

from setfit_core.testing import HeadConformance

pytestmark = pytest.mark.slow


class TestCatBoostHead(HeadConformance):
    make_head = "catboost"
