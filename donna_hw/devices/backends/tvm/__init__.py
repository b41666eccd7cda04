"""Backend `tvm`: blocks compiled by Apache TVM, on this machine or on boards behind a tracker."""
