FROM base
USER redis
WORKDIR /tmp
CMD ["redis-server", "--protected-mode", "no", "--bind", "0.0.0.0", "--save", ""]
