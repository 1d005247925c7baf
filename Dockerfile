# The exporter and nothing else: no shell, no libraries. Built by `make image` (scripts/image), whose files are the context: the
# static binary of each architecture, with the authorities' certificates in it, and empty folders.
FROM scratch
ARG TARGETARCH
COPY ${TARGETARCH}/vod-callback-exporter /vod-callback-exporter
# Folders above the state's, which would else get its owner too.
COPY folders /
# A volume takes its owner from the folder that it covers.
COPY --chown=65532:65532 state /var/lib/vod-callback-exporter
# By number: Kubernetes cannot tell from a name that it is not root.
USER 65532:65532
EXPOSE 10058
HEALTHCHECK --interval=30s --timeout=6s --start-period=10s CMD ["/vod-callback-exporter", "probe"]
ENTRYPOINT ["/vod-callback-exporter"]
CMD ["run"]
