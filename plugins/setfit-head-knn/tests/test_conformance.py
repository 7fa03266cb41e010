from setfit_core.testing import HeadConformance


class TestKNNHead(HeadConformance):
    make_head = "knn"
