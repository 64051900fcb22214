# syntax=docker/dockerfile:1

# Compiles Envoy's API (a pinned Python wheel) and mizzen. `node` and `npx` of devDependencies are those of package.json.
FROM node:24-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-pip && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY . .
RUN npm run build && npm prune --omit=dev

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/generated ./generated
COPY --from=build /app/dist ./dist
# What the daemon keeps: its root certificate and the key of its tokens.
RUN mkdir /var/lib/mizzen && chown 1337:1337 /var/lib/mizzen
VOLUME /var/lib/mizzen
USER 1337:1337
# 15010 xDS in plaintext (loopback unless asked), 15012 xDS and CA over TLS, 15014 metrics and debug, 8080 readiness.
EXPOSE 15010 15012 15014 8080
# Young objects get 8 MB and not up to 64: responses are large and short-lived, and with a small young generation their memory is free again sooner
# (500 proxies: 420 MB at most instead of 620, and half the CPU time to connect; see docs/benchmarks.md).
ENTRYPOINT ["node", "--max-semi-space-size=8", "/app/dist/main.js"]
CMD ["discovery", "--config", "/etc/mizzen", "--state", "/var/lib/mizzen"]
