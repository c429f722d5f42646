# The image of the operator: its program, the certificates of public authorities, and nothing else. `make image` builds it.
FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN make image-root

FROM scratch
COPY --from=build /source/target/image/root /
USER 65532:65532
ENTRYPOINT ["/genesys-oauth-operator"]
CMD ["run"]
