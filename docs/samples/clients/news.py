"""Calls that are not wrapped, or not retried a second time, and why."""

import time

import requests


class NewsClient:
    @staticmethod
    def ping():
        return requests.head("http://news.example/", timeout=5).ok

    def headlines(self):
        for attempt in range(3):
            try:
                return requests.get("http://news.example/headlines", timeout=10).json()
            except requests.ConnectionError:
                time.sleep(2**attempt)
        return []

    def search(self, client, words):
        return client.get("/search", params={"q": words}, timeout=10).json()


def weekday():
    return requests.get("http://news.example/weekday", timeout=10).text
