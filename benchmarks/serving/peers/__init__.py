"""The servers that are compared, by name."""

from peers import bentoml, fastapi, litserve, mlserver, multi_model_server, onnx_server
from peers.base import Peer

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        onnx_server.PEER,
        fastapi.PEER,
        mlserver.PEER,
        mlserver.INLINE,
        litserve.PEER,
        bentoml.PEER,
        multi_model_server.PEER,
    )
}
