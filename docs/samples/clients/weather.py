"""A client as many are: a key, a base URL, and a call of requests in each method."""

import requests


class WeatherClient:
    def __init__(self, api_key=None, base_url="http://weather.example"):
        self.api_key = api_key
        self.base_url = base_url

    def today(self, city):
        response = requests.get(
            f"{self.base_url}/today",
            params={"city": city},  # the name as the people there write it
            headers={"Authorization": f"Bearer {self.api_key}"},
            timeout=10,
        )
        response.raise_for_status()
        return response.json()
