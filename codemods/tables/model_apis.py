"""SDKs of those who serve models, and what is built upon them."""

from __future__ import annotations

from .rows import BOTH, OFF, SDK, SEVERAL, WEBSOCKET, Library, client, prefixed, row

_POLLS = dict.fromkeys(
    "create_and_poll create_and_run_poll upload_and_poll submit_tool_outputs_and_poll poll wait_for_processing"
    " upload_file_chunked".split(),
    SEVERAL,
)

MODEL_APIS: tuple[Library, ...] = (
    row(
        "openai",
        "ChatCompletion.create ChatCompletion.acreate Completion.create Completion.acreate Embedding.create"
        " Embedding.acreate Image.create Image.acreate Image.create_edit Image.create_variation Moderation.create"
        " Moderation.acreate Audio.transcribe Audio.atranscribe Audio.translate Edit.create File.create Model.list"
        " FineTune.create chat.completions.create completions.create embeddings.create images.generate images.edit"
        " responses.create models.list moderations.create audio.transcriptions.create audio.translations.create"
        " audio.speech.create files.create",
        client(
            "openai.OpenAI openai.AsyncOpenAI openai.Client openai.AsyncClient openai.AzureOpenAI"
            " openai.AsyncAzureOpenAI openai.lib.azure.AzureOpenAI openai.lib.azure.AsyncAzureOpenAI"
            " langfuse.openai.OpenAI langfuse.openai.AsyncOpenAI",
            SDK,
            nested=True,
            direct=False,
        ),
        calls=BOTH,
        own_retries=OFF,
        queued_only=_POLLS,
        proxies="chat completions embeddings files images audio moderations models fine_tuning vector_stores batches"
        " uploads beta responses containers evals conversations videos",
    ),
    row(
        "anthropic",
        "",
        client(
            "anthropic.Anthropic anthropic.AsyncAnthropic anthropic.Client anthropic.AsyncClient"
            " anthropic.AnthropicBedrock anthropic.AsyncAnthropicBedrock anthropic.AnthropicVertex"
            " anthropic.AsyncAnthropicVertex",
            SDK,
            nested=True,
            direct=False,
        ),
        calls=BOTH,
        own_retries=OFF,
        queued_only=_POLLS,
    ),
    row(
        "groq",
        "",
        client("groq.Groq groq.AsyncGroq groq.Client groq.AsyncClient", SDK, nested=True, direct=False),
        calls=BOTH,
        own_retries=OFF,
        queued_only=_POLLS,
    ),
    row(
        "together",
        "",
        client("together.Together together.AsyncTogether", others="close copy", nested=True, direct=False),
        calls=BOTH,
        own_retries=OFF,
        queued_only=_POLLS,
    ),
    row(
        "google.genai",
        "",
        client(
            "google.genai.Client google.genai.client.Client",
            others="chats.create close aclose",
            nested=True,
        ),
        client(
            "google.genai.Client().chats.create google.genai.client.Client().chats.create",
            "send_message send_message_stream",
        ),
        calls=BOTH,
        own_retries=OFF,
        queued_only=dict.fromkeys("upload download list upload_to_file_search_store".split(), SEVERAL),
        refused={
            "google.genai.Client().live.connect": WEBSOCKET,
            "google.genai.client.Client().live.connect": WEBSOCKET,
        },
    ),
    row(
        "google.generativeai",
        "embed_content embed_content_async list_models get_model upload_file get_file list_files delete_file"
        " generate_text generate_embeddings chat",
        client(
            "google.generativeai.GenerativeModel google.generativeai.generative_models.GenerativeModel",
            "generate_content generate_content_async count_tokens count_tokens_async",
        ),
        client(
            "google.generativeai.GenerativeModel().start_chat"
            " google.generativeai.generative_models.GenerativeModel().start_chat",
            "send_message send_message_async",
        ),
        calls=BOTH,
        own_retries=OFF,
    ),
    row(
        "cohere",
        "",
        client(
            "cohere.Client cohere.AsyncClient cohere.ClientV2 cohere.AsyncClientV2 cohere.AwsClient"
            " cohere.BedrockClient cohere.BedrockClientV2 cohere.SagemakerClient cohere.SagemakerClientV2"
            " cohere.OciClient cohere.OciClientV2",
            others="close wait",
            nested=True,
        ),
        calls=BOTH,
        own_retries=OFF,
    ),
    row(
        "mistralai",
        "",
        client(
            "mistralai.client.Mistral mistralai.Mistral mistralai.client.MistralClient"
            " mistralai.async_client.MistralAsyncClient mistralai.azure.client.MistralAzure"
            " mistralai.gcp.client.MistralGCP mistralai_azure.MistralAzure mistralai_gcp.MistralGoogleCloud",
            others="close",
            nested=True,
        ),
        calls=BOTH,
        own_retries=OFF,
        queued_only=dict.fromkeys(
            "run_async run_stream_async".split(), "it makes several requests, and calls your functions"
        ),
        refused={
            "mistralai.client.Mistral().audio.realtime.connect": WEBSOCKET,
            "mistralai.client.Mistral().audio.realtime.transcribe_stream": WEBSOCKET,
        },
    ),
    row(
        "ollama",
        "chat generate embed embeddings list pull push show create delete copy ps web_search web_fetch",
        client("ollama.Client ollama.AsyncClient", others="close"),
        calls=BOTH,
    ),
    row(
        "huggingface_hub",
        "",
        client(
            "huggingface_hub.InferenceClient huggingface_hub.AsyncInferenceClient",
            others="get_recommended_model close headers.update headers.get cookies.update cookies.get exit_stack.close",
            nested=True,
        ),
        calls=BOTH,
    ),
    row(
        "huggingface_hub",
        "hf_hub_download snapshot_download list_models list_datasets list_spaces list_repo_files list_repo_tree"
        " model_info dataset_info space_info repo_info repo_exists file_exists whoami get_paths_info"
        " get_hf_file_metadata upload_file upload_folder upload_large_folder create_commit create_repo delete_file"
        " delete_folder delete_repo",
        client("huggingface_hub.HfApi huggingface_hub.hf_api.HfApi", others="run_as_future"),
        queued_only=dict.fromkeys(
            "list_models list_datasets list_spaces list_repo_files list_repo_tree list_repo_commits list_liked_repos"
            " hf_hub_download snapshot_download upload_file upload_folder upload_large_folder create_commit delete_file"
            " delete_files delete_folder preupload_lfs_files".split(),
            SEVERAL,
        ),
    ),
    row(
        "litellm",
        "completion acompletion embedding aembedding text_completion atext_completion rerank arerank responses"
        " aresponses image_generation aimage_generation transcription atranscription speech aspeech moderation"
        " amoderation",
        client(
            "litellm.Router litellm.router.Router",
            "completion acompletion embedding aembedding text_completion atext_completion aresponses rerank arerank"
            " image_generation aimage_generation transcription atranscription speech aspeech",
        ),
        calls=BOTH,
        own_retries=OFF,
        queued_only=dict.fromkeys(
            "embedding aembedding".split(),
            "litellm retries embeddings by itself; with litellm.DEFAULT_MAX_RETRIES = 0 it does not",
        ),
    ),
    row(
        "instructor",
        "",
        client(
            "instructor.from_openai instructor.from_anthropic instructor.from_groq instructor.from_mistral"
            " instructor.from_cohere instructor.from_gemini instructor.from_genai instructor.from_litellm"
            " instructor.from_provider instructor.patch instructor.apatch instructor.Instructor instructor.AsyncInstructor",
            "create create_partial create_iterable create_with_completion generate_content",
            nested=True,
        ),
        calls=BOTH,
        own_retries="it retries up to max_retries times, in its own loop",
    ),
    *(
        row(
            module,
            "",
            client(
                prefixed(module, classes),
                "invoke ainvoke stream astream batch abatch generate agenerate embed_query aembed_query embed_documents"
                " aembed_documents",
            ),
            calls=BOTH,
            own_retries="LangChain repeats requests max_retries times; the retries of its models are arguments of theirs",
        )
        for module, classes in (
            ("langchain_openai", "ChatOpenAI AzureChatOpenAI OpenAI OpenAIEmbeddings AzureOpenAIEmbeddings"),
            ("langchain_anthropic", "ChatAnthropic"),
            ("langchain_groq", "ChatGroq"),
            ("langchain_mistralai", "ChatMistralAI MistralAIEmbeddings"),
            ("langchain_google_genai", "ChatGoogleGenerativeAI GoogleGenerativeAIEmbeddings"),
        )
    ),
)
