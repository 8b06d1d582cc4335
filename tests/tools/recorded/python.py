"""Programs that do to tensors what Python allows: writes, views, branches on data, derivatives."""

import copy
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from torch import Tensor

from .data import normal, ones, tensor, zeros


def strided_write(y: Tensor) -> None:
    a = normal("a", 3)
    loc = zeros(20)
    loc[:10] = a[0]
    square = loc.view(4, 5)
    square[3] += a[1] * a[2]
    square.t()[1, ::2] *= a[0]
    pyro.sample("y", dist.Normal(loc[:9], 1.0).to_event(1), obs=y)


def masked_write(y: Tensor) -> None:
    a = normal("a", 9)
    loc = a * 2
    loc[y > 0] = a[:1] + 1
    loc.masked_fill_(y > 4, 0.5)
    loc[a > 0.7] = 0.1
    pyro.sample("y", dist.Normal(loc, 2.0).to_event(1), obs=y)


def out_argument(y: Tensor) -> None:
    a = normal("a", 3)
    loc = zeros(3)
    torch.mul(a, 2.0, out=loc)
    torch.exp(0.1 * a, out=loc[:])
    pyro.sample("y", dist.Normal(loc, 1.0).to_event(1), obs=y)


def constant_rewritten(y: Tensor) -> None:
    scratch = ones(3)
    a = normal("a", 3)
    first = a * scratch
    scratch *= 5
    second = a * scratch
    scratch.zero_()
    pyro.sample("y", dist.Normal(first + second, 1.0).to_event(1), obs=y)


def view_before_write(y: Tensor) -> None:
    a = normal("a", 4)
    table = (a * 3).reshape(2, 2)
    column = table[:, 1]
    table[0] = a[2]
    table.unsqueeze_(0)
    column.add_(1.0)
    pyro.sample("y", dist.Normal(torch.cat([table.reshape(-1), column])[:3], 1.0).to_event(1), obs=y)


def transposed_write(y: Tensor) -> None:
    a = normal("a", 4)
    table = a.reshape(2, 2).t().clone()
    table[0] = a[2]
    flags = a > 0
    flags |= a < -1
    pyro.sample("y", dist.Normal(table.reshape(-1)[:3] + flags[:3], 1.0).to_event(1), obs=y)


def detached(y: Tensor) -> None:
    a = pyro.sample("a", dist.Normal(tensor(0.0), 1.0))
    pyro.sample("y", dist.Normal(a.detach() * 3 + a, 1.0).expand([5]).to_event(1), obs=y)


def data_attribute(y: Tensor) -> None:
    a = pyro.sample("a", dist.Normal(tensor(0.0), 1.0))
    b = copy.deepcopy(a.data)
    pyro.sample("y", dist.Normal(b * 3 + a, 1.0).expand([5]).to_event(1), obs=y)


def steered_by_data(y: Tensor, group: Tensor) -> None:
    count = int(group.max()) + 1
    a = normal("a", count)
    if y.mean() > 0 and not torch.equal(y, y + 1):
        a = a * 2
    with pyro.plate("n", len(y)):
        pyro.sample("y", dist.Normal(a[group], 1.0), obs=y)


def selected_rows(y: Tensor) -> None:
    a = pyro.sample("a", dist.Normal(tensor(0.0), 1.0))
    high = y[y > 0]
    with pyro.plate("n", len(high)):
        pyro.sample("y", dist.Normal(a, 2.0), obs=high)


def mapped(xs: Tensor, y: Tensor) -> None:
    b = normal("b", 3)
    loc = torch.vmap(lambda row: (row * b).sum().tanh())(xs)
    with pyro.plate("n", len(xs)):
        pyro.sample("y", dist.Normal(loc, 1.0), obs=y)


def where_and_sort(y: Tensor) -> None:
    a = normal("a", 5)
    b = torch.where(a > 0, a, a.exp() - 1).sort().values
    top = torch.topk(a, 2).values
    pyro.sample("y", dist.Normal(b + top.sum() + a.max(0).values, 1.0).to_event(1), obs=y)


def printed(y: Tensor) -> None:
    a = pyro.sample("a", dist.Normal(tensor(0.0), 1.0))
    text = f"{a:.3f}"
    assert text in (repr(a), text)
    pyro.sample("y", dist.Normal(a, 1.0).expand([5]).to_event(1), obs=y)


def writes_to_its_argument(y: Tensor) -> None:
    a = pyro.sample("a", dist.Normal(tensor(0.0), 1.0))
    y *= 2
    with pyro.plate("n", len(y)):
        pyro.sample("y", dist.Normal(a, 4.0), obs=y)


def solved(xs: Tensor, y: Tensor) -> None:
    b = normal("b", 3)
    gram = xs.T @ xs + torch.diag(b.exp())
    solution = torch.linalg.solve(gram, xs.T @ y)
    chol = torch.linalg.cholesky(gram)
    pyro.sample("s", dist.Normal(solution, 1.0).to_event(1), obs=zeros(3))
    pyro.factor("det", -torch.logdet(gram) + chol.diagonal().log().sum())


def singular(xs: Tensor, y: Tensor) -> None:
    b = normal("b", 3)
    q, r = torch.linalg.qr(xs * b.exp())
    values = torch.linalg.eigvalsh(r.T @ r)
    pyro.factor("f", -values.log().sum() + torch.einsum("ij,i->j", q, y).square().sum())


class Square(torch.autograd.Function):
    """Its own backward pass agrees with its forward one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return 2 * gradient * ctx.saved_tensors[0]


def own_derivative(y: Tensor) -> None:
    a = pyro.sample("a", dist.Normal(tensor(0.0), 1.0))
    slope = torch.func.grad(lambda x: x.sin() * x)(a)
    pyro.sample("y", dist.Normal(Square.apply(a) + slope, 1.0).expand([5]).to_event(1), obs=y)


def spectrum(y: Tensor) -> None:
    a = normal("a", 4)
    turned = torch.view_as_real(torch.view_as_complex(a.reshape(2, 2)) * (1 + 2j))
    pyro.factor("f", -torch.fft.rfft(a).abs().square().sum() - turned[0, 1] * y[0])


def accumulated(y: Tensor) -> None:
    a = normal("a", 4)
    b = torch.zeros(2, dtype=torch.float64)
    b.index_put_((torch.tensor([0, 1, 1, 0]),), a, accumulate=True)
    b.scatter_add_(0, torch.tensor([0, 0]), a[:2])
    b.index_add_(0, torch.tensor([1]), a[3:])
    table = torch.empty(3, 2, dtype=torch.float64)
    table[:] = b
    table[1] += 1
    table.fill_diagonal_(0.5)
    pyro.sample("y", dist.Normal(table.sum(-1), 1.0).to_event(1), obs=y[:3])


GRU = torch.nn.GRU(3, 2, batch_first=True).double()
ATTENTION = torch.nn.MultiheadAttention(3, 1).double().eval()


def recurrent(xs: Tensor, y: Tensor) -> None:
    gru, attention = pyro.module("gru", GRU), pyro.module("attention", ATTENTION)
    a = pyro.sample("a", dist.Normal(tensor(0.0), 1.0))
    path, _ = gru(a * xs[None])
    mixed, _ = attention(xs, a * xs, xs)
    pyro.sample("y", dist.Normal(path[0].sum(-1) + mixed.sum(-1), 1.0).to_event(1), obs=y)


def lifted(y: Tensor) -> None:
    w = pyro.param("w", tensor(0.4))
    pyro.sample("y", dist.Normal(w, 1.0).expand([5]).to_event(1), obs=y)


def chain_in_one_site(y: Tensor) -> None:
    transition = pyro.sample("transition", dist.Dirichlet(ones(2, 2)).to_event(1))
    loc = normal("loc", 2)
    pyro.sample("y", dist.DiscreteHMM(zeros(2), transition.log(), dist.Normal(loc, 1.0)), obs=y)


def local_and_subsampled(y: Tensor) -> None:
    with pyro.plate("n", len(y), subsample_size=3):
        rows = pyro.subsample(y, event_dim=0)
        a = pyro.sample("a", dist.Normal(tensor(0.0), 1.0))
        pyro.sample("y", dist.Normal(a, 1.0), obs=rows)


def scaled_by_a_site(y: Tensor) -> None:
    a = pyro.sample("a", dist.Normal(tensor(0.0), 1.0))
    with poutine.scale(scale=a.exp()), poutine.mask(mask=a > -0.5):
        pyro.sample("y", dist.Normal(a, 1.0).expand([5]).to_event(1), obs=y)


def two_precisions(y: Tensor) -> None:
    a = pyro.sample("a", dist.Normal(torch.tensor(0.0), 1.0))
    b = pyro.sample("b", dist.Normal(tensor(0.0), 1.0))
    pyro.sample("y", dist.Normal(a + b, 1.0).expand([5]).to_event(1), obs=y)
