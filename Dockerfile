# Chartroom in an image: production packages only, one uWebSockets.js binary, a user without rights, data in /data.
#
#   docker build -t chartroom .
#   docker run -d --name chartroom -p 127.0.0.1:8080:8080 -v chartroom:/data -e CHARTROOM_JWT_SECRET=... \
#     --read-only --tmpfs /tmp --stop-timeout 15 --ulimit nofile=200000 chartroom
#
# Debian 12 has glibc 2.36: uWebSockets.js runs there on Node 20. Node 22 and later want 2.38: NODE=24-trixie-slim.
ARG NODE=20-bookworm-slim

FROM node:${NODE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --no-audit --no-fund
# 50 binaries, 263 MB, of which one is loaded. The last line ends the build where that one is not there.
RUN cd node_modules/uWebSockets.js \
 && own="uws_$(node -p '[process.platform, process.arch, process.versions.modules].join("_")').node" \
 && find . -name 'uws_*.node' ! -name "$own" -delete \
 && rm -rf docs examples misc src tests \
 && node -e 'require("./uws.js")'

FROM node:${NODE}
ENV NODE_ENV=production CHARTROOM_HOST=0.0.0.0 CHARTROOM_PORT=8080 CHARTROOM_DATA=/data
WORKDIR /app
RUN install -d -o node -g node -m 700 /data
COPY --from=packages /app/node_modules ./node_modules
COPY package.json tsconfig.json ./
COPY bin ./bin
COPY src ./src
COPY machines ./machines
COPY deploy/health.js ./deploy/health.js
USER node
VOLUME /data
EXPOSE 8080
# A start may take some seconds where it looks at a log that was not closed cleanly.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["node", "deploy/health.js"]
CMD ["node", "--max-semi-space-size=64", "bin/chartroom.js", "start"]
