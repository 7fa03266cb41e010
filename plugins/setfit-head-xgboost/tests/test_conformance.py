from setfit_core.testing import HeadConformance


class TestXGBoostHead(HeadConformance):
    make_head = "xgboost"
