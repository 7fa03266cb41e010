from setfit_core.testing import HeadConformance


class TestLightGBMHead(HeadConformance):
    make_head = "lightgbm"
