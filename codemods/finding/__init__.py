"""Finds the call sites of a file: what names stand for, which calls send requests, which are retried already."""
