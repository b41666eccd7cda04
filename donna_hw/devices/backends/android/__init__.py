"""Blocks on an Android phone over adb."""
