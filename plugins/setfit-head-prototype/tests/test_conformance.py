from setfit_core.testing import HeadConformance


class TestPrototypeHead(HeadConformance):
    make_head = "prototype"
