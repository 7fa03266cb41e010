from setfit_head_lightgbm import LightGBMHead

from setfit_core.testing import HeadConformance


class TestLightGBMHead(HeadConformance):
    make_head = LightGBMHead
