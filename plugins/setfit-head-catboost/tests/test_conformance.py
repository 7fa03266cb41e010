from setfit_core.testing import HeadConformance


class TestCatBoostHead(HeadConformance):
    make_head = "catboost"
