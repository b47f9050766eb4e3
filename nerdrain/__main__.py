"""`python -m nerdrain` is the command line."""

from nerdrain.cli import app

if __name__ == "__main__":
    app(prog_name="nerdrain")
