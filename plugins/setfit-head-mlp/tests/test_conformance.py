from setfit_core.testing import HeadConformance


class TestMLPHead(HeadConformance):
    make_head = "mlp"
