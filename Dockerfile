# One image for every process of Perennial; docker-compose.yml gives each its command.
#   docker build .                                                      # CPU torch
#   docker build --build-arg TORCH_INDEX=https://pypi.org/simple .      # CUDA torch, for a retrainer on a GPU

FROM python:3.11.13-slim-bookworm AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# On ARM, faust-streaming is published only as source code, so it is compiled.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/perennial
WORKDIR /source
# The dependencies have a layer of their own, so that a change of the code does not download torch again.
# torch is installed first and without its dependencies, so that its index is used for torch only.
COPY constraints.txt ./
RUN /opt/perennial/bin/pip install --no-deps --index-url "$TORCH_INDEX" -c constraints.txt torch
COPY pyproject.toml README.md LICENSE ./
RUN mkdir stream agents models monitoring \
    && touch stream/__init__.py agents/__init__.py models/__init__.py monitoring/__init__.py \
    && /opt/perennial/bin/pip install -c constraints.txt . \
    && /opt/perennial/bin/pip uninstall --yes perennial
COPY models models
COPY agents agents
COPY monitoring monitoring
COPY stream stream
RUN rm -rf build && /opt/perennial/bin/pip install --no-deps -c constraints.txt .

FROM python:3.11.13-slim-bookworm
# The user has a number that no other user of the host should have, and owns only its data.
RUN useradd --system --uid 10001 --home-dir /var/lib/perennial --create-home perennial \
    && mkdir -p /var/lib/perennial/artifacts /var/lib/perennial/outbox /etc/perennial \
    && chown -R perennial /var/lib/perennial
COPY --from=build /opt/perennial /opt/perennial
ENV PATH=/opt/perennial/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /var/lib/perennial
ENTRYPOINT ["perennial"]
CMD ["--help"]
