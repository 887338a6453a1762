# A CPU image that serves the model mounted at /models/model.pt:
#   docker build -t onmt .
#   docker run --rm -p 127.0.0.1:7784:7784 -v "$PWD/demo:/models:ro" onmt -model /models/model.pt
FROM python:3.11-slim

WORKDIR /app
COPY setup.py pyproject.toml constraints.txt README.md LICENSE ./
COPY onmt ./onmt

# PyTorch's own index has wheels without CUDA, a tenth of the size.
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu --constraint constraints.txt ".[serve]"

RUN useradd --create-home --uid 1000 onmt
USER onmt
WORKDIR /home/onmt

EXPOSE 7784
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD python -c "import urllib.request as r; r.urlopen('http://127.0.0.1:7784/health', timeout=4)"
STOPSIGNAL SIGTERM
ENTRYPOINT ["onmt_rest_translation_server", "-host", "0.0.0.0"]
CMD ["-model", "/models/model.pt"]
