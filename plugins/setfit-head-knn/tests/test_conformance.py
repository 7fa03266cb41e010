import pytest

from setfit_core.testing import HeadConformance

pytestmark = pytest.mark.slow


class TestKNNHead(HeadConformance):
    make_head = "knn"
