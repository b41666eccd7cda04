"""Blocks compiled by Apache TVM, on this machine or on a device behind a tracker."""
