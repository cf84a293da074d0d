"""A class that has names of its own where the blocks would put theirs."""

import requests


class TideClient:
    def __init__(self, max_retries=3):
        self.max_retries = max_retries
        self.session = requests.Session()

    def close(self):
        self.session.close()

    def heights(self, port):
        return self.session.get("http://tides.example/heights", params={"port": port}, timeout=10).json()
