"""What a mesh's control plane makes of our documents: stand-ins, for there is neither istiod nor Envoy Gateway here.

Each makes the configuration that its control plane would send to the proxy without us (small, but with its names and
its order), applies our documents to it by its rules, and puts all of it into one static bootstrap that Envoy can run.
A patch that matches nothing, which a control plane only counts, is an error here.
"""
