"""Backend `tvm`: measure blocks that Apache TVM compiled, on this machine or on boards behind an RPC tracker."""
