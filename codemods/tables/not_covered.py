"""Well-known API libraries that are not in the table of `libraries`: it is said once of a file that imports one."""

from __future__ import annotations

NOT_COVERED = frozenset(
    """
    ai21 aiogram aiohttp_client_cache aiosonic aleph_alpha_client algoliasearch anyscale apify_client
    assemblyai atlassian aurelio_sdk auth0 azure.ai azure.cognitiveservices azure.cosmos azure.keyvault
    azure.mgmt azure.search azure.servicebus azure.storage baidubce boxsdk braintree cerebras.cloud chromadb
    clarifai coinbase dashscope databricks.sdk datadog datadog_api_client deepgram deepl discord
    docusign_esign dropbox e2b elasticsearch elevenlabs exa_py facebook_business fal_client firebase_admin
    firecrawl fireworks github gitlab google.ads google.cloud googleads googleapiclient googlemaps gql
    gradio_client grequests hishel httplib2 hubspot ibm_watson ibm_watsonx_ai instructor intercom jira
    kubernetes langchain langchain_anthropic langchain_community langchain_core langchain_google_genai
    langchain_groq langchain_openai linode_api4 litellm.proxy llama_index mailchimp_marketing mailjet_rest
    marqo meilisearch minio mixpanel msgraph niquests notion_client office365 okta opensearchpy oss2
    paypalrestsdk pinecone plaid portkey_ai praw primp pusher pycurl pyhttpx pymailgunner pymilvus qcloud_cos
    qdrant_client qianfan reka replicate requests_futures requests_html requests_unixsocket runpod s3fs
    sendgrid serpapi shopify simple_salesforce slack slack_bolt slack_sdk spotipy square stability_sdk stripe
    suds supabase tavily telebot telegram telethon tencentcloud tls_client tornado.httpclient treq tweepy
    twilio typesense vertexai volcenginesdkarkruntime voyageai weaviate writerai xai_sdk xmlrpc.client zeep
    zenpy zhipuai
    """.split()
)
"""Names that are imported: of the module, or of the part of a namespace."""


def not_covered(imported: str) -> str:
    """Return the library of the list that an imported name is or belongs to, or nothing.

    Args:
        imported: dotted name: `twilio.rest.Client`, `azure.ai.inference`.
    """
    parts = imported.split(".")
    for stop in range(1, min(len(parts), 3) + 1):
        if (name := ".".join(parts[:stop])) in NOT_COVERED:
            return name
    return ""
