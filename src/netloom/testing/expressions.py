"""Torch calls as people write them, for callables whose arguments an operator's own arguments do not spell out.

Each is run for real under a recording mode: it must bind to an operator, and the node must compute the same bits.
"""

from __future__ import annotations

from functools import cache
from typing import Any

EXPRESSIONS: dict[str, str] = {
    "views": """
        x.view(6, 4)  x.view(-1)  x.view((2, 12))  x.view(torch.Size([24]))  x.reshape(4, -1)  x.reshape((6, 4))
        x.view(y.shape)  torch.reshape(x, (2, -1))  x.view_as(y)  x.reshape(24).reshape_as(y)  x.flatten().view_as(y)
        s.reshape(1)  s.view(())  torch.atleast_1d(s)  torch.atleast_2d(s)  torch.atleast_2d(v)  torch.atleast_3d(v)
        torch.atleast_3d(m)  torch.atleast_3d(x)  torch.ravel(x)  x.ravel()  torch.flatten(x, 1)  x.flatten(1)
        x.flatten(-2, -1)  torch.flatten(x)  s.flatten()  torch.unflatten(x, 2, (2, 2))  x.unflatten(-1, (2, -1))
        x.unflatten(1, (3, 1))  x.view(torch.int32)  i.view(torch.float64)  x.expand(5, 2, 3, 4)  m.expand(3, -1, -1)
        v.expand((2, 4))  x.expand(torch.Size([1, 2, 3, 4]))  v.expand_as(m)  torch.broadcast_to(v, (3, 4))
        v.broadcast_to((2, 4))  s.expand(2, 3)  torch.broadcast_tensors(v, m)  torch.broadcast_tensors(m)  x.repeat(1, 2, 1)
        x.repeat((2, 1, 1))  v.repeat(3, 2)  torch.tile(x, (2, 1))  x.tile(2)  x.tile((1, 1, 1, 2))  x.tile(2, 1)
        torch.repeat_interleave(x, 2)  x.repeat_interleave(3, dim=1)  torch.repeat_interleave(x, 2, dim=-1)
        x.repeat_interleave(2, 0)  torch.permute(x, (2, 0, 1))  x.permute(2, 0, 1)  x.permute((0, 2, 1))
        x.permute(0, -1, 1)  torch.movedim(x, 0, 2)  x.movedim((0, 1), (1, 0))  torch.moveaxis(x, -1, 0)  x.moveaxis(0, 1)
        x.T  m.T  v.T  m.mT  x.mT  m.H  c.mH  m.mH  c.H  m.t()  v.t()  torch.t(m)  torch.t(v)  torch.adjoint(m)  m.adjoint()
        x.transpose(1, 2)  x.transpose(-1, 0)  torch.transpose(x, 0, 1)  x.swapaxes(0, 1)  torch.swapaxes(x, 0, -1)
        x.swapdims(0, 1)  torch.swapdims(x, 1, 0)  x.squeeze()  x[:1].squeeze()  x[:1].squeeze(0)  x.squeeze(1)
        torch.squeeze(x[:, :1], 1)  x[:1].squeeze((0, 1))  torch.squeeze(x[:, :, :1])  x.unsqueeze(0)  x.unsqueeze(-1)
        torch.unsqueeze(x, 2)  x.unfold(1, 2, 1)  x.unfold(-1, 3, 2)
    """,
    "joins": """
        torch.cat([x, y])  torch.cat((x, y), 1)  torch.cat([x, y], dim=-1)  torch.concat([x, y], dim=1)
        torch.concatenate((x, y), axis=1)  torch.cat([x, i])  torch.concatenate([x, y], dim=1)  torch.hstack((x, y))
        torch.column_stack((m, m))  torch.hstack([v, v])  torch.hstack([s, s])  torch.column_stack((v, m))
        torch.column_stack([v, v])  torch.vstack([x, y])  torch.vstack((v, m))  torch.vstack([v, v])
        torch.row_stack([x, y])  torch.row_stack([v, v])  torch.dstack([x, y])  torch.dstack([m, m])  torch.dstack([v, v])
        torch.stack([x, y])  torch.stack((x, y), -1)  torch.stack([s, s])  x.split(2, dim=-1)  torch.split(x, [1, 2], dim=1)
        x.split(1)  x.split((1, 3), -1)  torch.split(x, 2, 1)  torch.split_with_sizes(x, [1, 2], 1)
        x.split_with_sizes([1, 1])  x.chunk(2)  torch.chunk(x, 2, dim=1)  x.chunk(3, -1)  torch.tensor_split(x, 2)
        x.tensor_split(3, dim=2)  x.tensor_split((1, 3), 2)  torch.tensor_split(x, (1,), dim=1)  torch.hsplit(x, 3)
        x.hsplit([1])  torch.hsplit(v, 2)  x.vsplit(2)  torch.vsplit(x, [1])  v.hsplit(2)  x.unbind()  torch.unbind(x, 1)
        x.unbind(-1)  torch.unbind(x, dim=-1)
    """,
    "elementwise": """
        x+y  x+1  1+x  x-y  2-x  x-0.5  x*y  3*x  x/y  x/2  1/x  i/2  2/i  x//y  i//2  7//i1  x%2  i%3  5%i1  x**2  2**x
        x**y  i**2  -x  abs(x)  +x  ~b  ~i  b&b  i&3  3&i  b|b  i|1  1|i  i^i  i^1  1^i  i<<1  i>>1  1<<i  8>>i  i<<i  i>>i
        x==y  x!=y  x<y  x<=0  x>0.5  x>=y  i==1  x@m  m@m  m@v  v@m  v@v  m.__rmatmul__(x)  x.add(y,alpha=2)
        torch.add(x,2)  torch.sub(x,y,alpha=0.5)  torch.rsub(x,2)  torch.rsub(x,y)  torch.mul(x,True)
        torch.div(x,y,rounding_mode="floor")  torch.div(i,2,rounding_mode="trunc")  x.div(2)  torch.true_divide(i,i1)
        torch.add(i,x)  i+0.5  b+1  b*x  x*i  h+x  h*2.5  h+s  s+h  torch.pow(2,x)  torch.pow(x,0.5)  torch.pow(i,2)
        torch.float_power(x,2)  torch.float_power(2,x)  x.float_power(y)  torch.maximum(x,y)  torch.max(x,y)  x.max(y)
        torch.min(x,y)  x.min(y)  torch.where(b,x,y)  torch.where(b,x,0.0)  torch.where(b,1,y)  torch.where(b,1.0,0)
        x.where(b,y)  x.where(b,0)  x.where(x>0,y)  x.clamp(min=0)  x.clamp(0,1)  torch.clamp(x,max=0.5)  x.clamp_min(0)
        torch.clamp_max(x,1)  torch.clamp_min(x,y)  x.clamp_max(y)  x.clamp(y,y+1)  x.clip(-1,1)  torch.clip(x,0.0,None)
        i.clamp(0.5,1.5)  torch.clamp(x,min=y)  torch.clamp_min(x,0)  x.masked_fill(b,0)
        torch.masked_fill(x,b,float("-inf"))  x.masked_fill(b,s)  i.masked_fill(b,3)  x.masked_fill(b,True)
        torch.lerp(x,y,0.3)  x.lerp(y,x)  torch.addcmul(x,y,y,value=0.5)  x.addcdiv(y,y+3,value=2)
        torch.round(x,decimals=1)  x.round()  torch.sigmoid(i)  torch.exp(i)  i.sin()  b.float()  torch.nan_to_num(x)
        x.nan_to_num(0.0,posinf=1.0)  torch.logit(x,eps=1e-6)  torch.view_as_complex(m.view(4,2,2))  torch.view_as_real(c)
        c.real  c.imag  x.real  torch.real(c)  torch.imag(c)  c.conj()  c.abs()  torch.complex(x,y)  torch.polar(x.abs(),y)
        torch.angle(c)  torch.isclose(x,y)  x.isclose(x,rtol=0.1)  F.softmax(x)  F.softmax(v)  F.softmax(x,-1)
        F.softmax(x,dim=1,dtype=torch.float64)  x.softmax(-1)  torch.softmax(h,-1,dtype=torch.float32)  F.log_softmax(x,1)
        F.relu(x,inplace=True)  F.leaky_relu(x,0.2)  F.elu(x,2)  F.gelu(x,approximate="tanh")  F.softplus(x,2,10)
        F.threshold(x,0.1,20)  F.dropout(x,0.5,False)  F.dropout(x,p=0.3)  F.gumbel_softmax(x,tau=1,hard=True)
        F.hardtanh(x,-2,2)  F.relu6(x)  torch.batch_norm(image,None,None,None,None,True,0.1,1e-5,False)
        F.hardtanh(x,0.0,6.0)  F.glu(x)  F.prelu(x,q)
    """,
    "matrices": """
        torch.einsum("bij,jk->bik",x,m)  torch.einsum("bij,bkj->bik",[x,y])  torch.einsum("...ij->...ji",x)
        torch.linalg.multi_dot([m,m,v])  torch.chain_matmul(m,m)
        torch.einsum("ii",m)  torch.einsum("bij -> bj",x)  torch.matmul(x,m)  x.matmul(m)  torch.mm(m,m)  m.mm(m)
        torch.bmm(x,y.mT)  torch.mv(m,v)  m.mv(v)  v.dot(v)  torch.dot(v,v)  torch.outer(v,v)  torch.ger(v,v)  v.outer(v)
        v.ger(v)  torch.addmm(m,m,m,beta=0.5)  m.addmm(m,m,alpha=2)  torch.addmm(v,m,m)  torch.addmv(v,m,v)
        torch.baddbmm(x[:,:,:3],x,y.mT)  torch.addbmm(m[:3,:3],x,y.mT)  torch.kron(m,m)  torch.tensordot(x,m,1)
        torch.tensordot(x,y.movedim(0,2),2)  torch.tensordot(x,y,([1,2],[1,2]))  torch.tensordot(x,y,dims=([2],[2]))
        torch.cdist(x,y)  torch.cdist(x,y,p=1.0)  torch.linalg.matmul(x,m)  F.linear(x,m)  F.linear(x,m,v)  F.linear(v,m)
        F.bilinear(m,m,w3)  F.embedding(i,m)  F.embedding(i,m,padding_idx=0)  F.embedding(i,m,padding_idx=-1)
        F.embedding(i,m,None,None,2.0,False,False)
    """,
    "rearranging": """
        x.roll(1)  torch.roll(x,1,0)  torch.roll(x,(1,-1),(0,1))  x.roll(shifts=(1,2),dims=(1,2))  x.roll(2,-1)
        torch.flip(x,(0,))  x.flip(0)  x.flip([1,2])  x.flip(0,-1)  torch.fliplr(x)  x.fliplr()  torch.flipud(x)  x.flipud()
        torch.rot90(m)  m.rot90(2)  torch.rot90(x,1,(1,2))  F.pixel_shuffle(p,2)  F.pixel_unshuffle(p,2)
        F.channel_shuffle(p,2)  torch.channel_shuffle(p,2)  F.pad(x,(1,1))  F.pad(x,[0,1,1,0])  F.pad(x,(1,1),"reflect")
        F.pad(x,(1,0),mode="replicate")  F.pad(x,(1,1),mode="circular")  F.pad(x,(0,1),value=2.0)  F.pad(i,(1,1),value=3)
        F.pad(x,(-1,0))  F.pad(x,(1,1),"constant",0)  torch.diagonal(x,0,1,2)  m.diagonal()  torch.linalg.diagonal(x)
        torch.diag(v)  m.diag()  torch.diag(m,1)  torch.diag_embed(v)  x.diag_embed()  torch.tril(m)  m.triu(1)
        torch.triu(m,diagonal=-1)  torch.tril_indices(3,3)  torch.triu_indices(3,4,1)
        torch.tril_indices(3,3,offset=-1,dtype=torch.int32)
    """,
    "indexing": """
        x[0]  x[-1]  x.select(1, 0)  torch.select(x, -1, 1)  x.narrow(1, 0, 2)  torch.narrow(x, 0, 1, 1)
        x[:,1]  x[...,0]  x[:,None]  x[1:]  x[:,::2]  x[:, :-1]  x[0,1,2]  x[None]  x[...]  x[k[:2]%2]  x[:,k]
        x[:,[0,2]]  x[:,k,k]  x[0,:,k]  x[k%2,:,k]  x[:,k[:,None],k]  x[:, -2:, 1:3]  x[i1[0,0]%2]  i[i[0,0]]
        x[..., None, 1:]  x.to(torch.float64)  x.to(dtype=torch.half)  x.to(d)  x.type(torch.float64)  x.type_as(h)
        x.double()  x.half()  x.bfloat16()  h.float()  x.long()  x.int()  x.short()  x.char()  i.byte()  i.bool()  b.float()
        x.cfloat()  x.cdouble()  x.to("cpu",torch.float64)  x.contiguous()  x.transpose(0,1).contiguous()  x.clone()
        torch.clone(x)  x.detach()  torch.detach(x)  x.data  image.contiguous(memory_format=torch.channels_last)
        image.clone(memory_format=torch.channels_last)  x.to(torch.float64,copy=True)
    """,
    "making": """
        torch.zeros(2,3)  torch.zeros((2,3))  torch.zeros(2,dtype=torch.int64)  x.new_zeros(2,3)  x.new_zeros((2,3))
        i.new_zeros(4)  torch.ones(3)  x.new_ones((2,),dtype=torch.bool)  torch.ones(2,3,device="cpu")  torch.empty(2,0)
        x.new_empty((0,2))  torch.full((2,3),1.5)  torch.full((2,),3)  torch.full((2,),True)  x.new_full((2,),3)
        torch.full((2,3),0,dtype=torch.float32)  torch.zeros_like(x)  torch.zeros_like(x,dtype=torch.int64)
        torch.ones_like(x)  torch.empty_like(x[:0])  torch.full_like(x,2)  torch.fill(x,1)  x.clone().fill_(3)
        x.clone().zero_()  torch.arange(5)  torch.arange(1,5)  torch.arange(0,10,2)  torch.arange(5.0)
        torch.arange(0,1,0.25)  torch.arange(5,dtype=torch.float32)  torch.arange(end=4)  torch.arange(start=1,end=4)
        torch.arange(5,0,-1)  torch.linspace(0,1,5)  torch.linspace(-1,1,steps=3,dtype=torch.float64)  torch.eye(3)
        torch.eye(3,4)  torch.meshgrid(v,v)  torch.meshgrid([v,v],indexing="xy")  torch.meshgrid(v,m[0],indexing="ij")
        torch.cartesian_prod(k,k)  torch.rand(2,3)  torch.rand((2,3),dtype=torch.float64)  torch.randn(2,3)
        torch.randn((2,))  torch.randint(5,(2,3))  torch.randint(1,5,(2,))  torch.randint(0,5,size=(2,),dtype=torch.int32)
        torch.randperm(5)  torch.rand_like(x)  torch.randn_like(x)  torch.randint_like(i,5)  torch.randint_like(i,1,5)
        torch.bernoulli(x.sigmoid())  torch.bernoulli(x,0.3)  x.sigmoid().bernoulli()  x.bernoulli(0.2)
        x.clone().uniform_()  x.clone().uniform_(-1,1)  x.clone().normal_(0,0.02)  x.clone().exponential_()
        x.clone().bernoulli_(0.3)  x.clone().bernoulli_(x.sigmoid())  torch.normal(x,1.0)  torch.normal(0.0,x.abs())
        torch.normal(x,y.abs())  torch.normal(0.0,1.0,(2,3))  torch.multinomial(m.abs(),2)  m.abs().multinomial(5,True)
        torch.empty(2,3).uniform_(0,1)
    """,
    "reductions": """
        x.sum()  x.sum(1)  x.sum((0,2))  torch.sum(x,dim=1,keepdim=True)  x.sum(-1,dtype=torch.float64)  b.sum()  x.mean()
        x.mean((1,2))  x.mean(dim=(-2,-1),keepdim=True)  torch.mean(x,1)  x.prod()  torch.prod(x,1)  x.prod(-1,keepdim=True)
        x.max()  x.max(1)  x.max(dim=-1)  torch.max(x)  torch.max(x,1,keepdim=True)  x.min(-1)  torch.min(x)  torch.min(x,0)
        x.amax()  x.amax((1,2))  torch.amin(x,dim=0)  x.argmax()  x.argmax(-1)  torch.argmin(x,1,keepdim=True)  x.all()
        b.all(1)  b.any(-1)  torch.any(b)  x.var()  x.var(1)  x.std(-1,unbiased=False)  torch.var(x,dim=1,correction=0)
        torch.var(x,False)  x.var((1,2),keepdim=True)  torch.var_mean(x,dim=-1,unbiased=False)  torch.std_mean(x,(0,1))
        x.norm()  x.norm(dim=-1)  torch.norm(x,2,-1)  x.norm(p=2,dim=-1,keepdim=True)  x.norm(1)  m.norm("fro")
        torch.linalg.norm(x,dim=-1)  torch.linalg.vector_norm(x,dim=-1)  torch.linalg.norm(v)  x.logsumexp(-1)
        torch.logsumexp(x,(0,1),True)  x.cumsum(1)  torch.cumsum(x,-1,dtype=torch.float64)  x.cumprod(0)  x.cummax(-1)
        torch.cummin(x,1)  x.count_nonzero()  torch.count_nonzero(x,(0,1))  x.median()  x.median(-1)  torch.quantile(x,0.5)
        x.quantile(0.3,dim=1)  torch.quantile(x,q2,dim=-1)  torch.nanquantile(x,0.5,-1,True)  x.nanquantile(0.5)
        torch.quantile(x,q,0)  x.topk(2)  torch.topk(x,1,dim=1)  x.topk(2,sorted=False)  x.sort()
        torch.sort(x,0,descending=True)  x.sort(stable=True,dim=1)  x.argsort(-1,True)  torch.argsort(x,dim=0)
        x.kthvalue(2)  torch.kthvalue(x,1,0)  x.mode()  torch.aminmax(x)  x.aminmax(dim=1)  x.gather(1,i)
        torch.gather(x,2,i)  x.scatter(1,i,y)  x.scatter(1,i,1.0)  x.scatter(1,i,2.0,reduce="add")
        x.clone().scatter_(1,i,0)  x.clone().scatter_(1,i,value=0)  x.scatter(1,i,src=y)  torch.scatter(x,1,i,value=0.5)
        x.scatter_add(0,i,y)  x.scatter_reduce(1,i,y,"amax",include_self=False)  x.index_select(2,k)
        torch.index_select(x,1,k)  x.index_add(1,k,y)  x.index_copy(1,k,y)  torch.index_add(x,1,k,y,alpha=2)
        x.index_fill(1,k,0)  x.masked_scatter(b,y)  torch.take_along_dim(x,i,1)  x.take_along_dim(i)  F.one_hot(i,3)
        F.one_hot(i,num_classes=2)  torch.searchsorted(torch.arange(4.),x)  torch.bucketize(x,torch.arange(4.))
        torch.searchsorted(torch.arange(4.),x,right=True)  torch.bucketize(x,torch.arange(3.),right=True)
        torch.searchsorted(torch.arange(4.),x,side="right")  torch.histc(x,4,-1,1)  x.histc(bins=3,min=0,max=1)
    """,
    "layers": """
        F.scaled_dot_product_attention(x,y,y)  F.scaled_dot_product_attention(x,x,x,is_causal=True)
        F.scaled_dot_product_attention(x,y,y,mk)  F.scaled_dot_product_attention(x,y,y,dropout_p=0.3)
        F.scaled_dot_product_attention(x,y,y,attn_mask=None,scale=0.3)  lstm(x)  lstm2(x)  lstm3(x)  gru(x)  gru2(x)  rnn(x)
        rnn2(x)  lstm_cell(m)  gru_cell(m)  rnn_cell(m)  rnn_cell2(m)  torch.fft.fft(x)
        torch.fft.fft(x,n=6,dim=1,norm="ortho")  torch.fft.ifft(x)  torch.fft.rfft(x)  torch.fft.irfft(x)  torch.fft.fftn(x)
        torch.fft.fft2(x)  torch.fft.ifft2(x)  torch.fft.ifftn(x,dim=(1,2))  torch.fft.rfft2(x,norm="ortho")
        torch.fft.rfftn(x,(2,4),(0,2))  torch.fft.irfft2(x)  torch.fft.irfftn(x)  torch.fft.irfft2(x,s=(3,4),dim=(1,2))
        torch.fft.fftshift(x)  torch.fft.ifftshift(x,dim=1)  torch.stft(wave,8,return_complex=True)
        wave.stft(8,hop_length=3,window=hann,return_complex=True,center=False)  F.interpolate(image,scale_factor=2)
        F.interpolate(image,size=(4,5))  F.interpolate(image,size=9,mode="bilinear",align_corners=True)
        F.interpolate(image,scale_factor=(2,0.5),mode="bicubic")  F.interpolate(image,scale_factor=0.5,mode="area")
        F.upsample(image,scale_factor=2)  F.interpolate(image,scale_factor=1.7,mode="bilinear",recompute_scale_factor=True)
        F.upsample(image,size=8,mode="bilinear")  F.interpolate(image,size=(3,3),mode="bilinear",antialias=True)
        F.interpolate(x,scale_factor=2,mode="linear")  F.upsample_nearest(image,scale_factor=2)
        F.upsample_bilinear(image,scale_factor=2)  F.grid_sample(image,grid)
        F.grid_sample(image,grid,"nearest","border",True)  F.affine_grid(theta,(2,3,4,5))
        F.affine_grid(theta,[2,3,4,5],align_corners=True)  torch.index_put(x,(k[1:],),s)  x.index_put((i[0,0],k[1:2]),v)
        x.clone().index_put_((k[1:],),s)  torch.masked_scatter(x,b,y)
    """,
}


def written_calls() -> list[str]:
    """All expressions; those that need spaces inside are written apart by two."""
    found: list[str] = []
    for block in EXPRESSIONS.values():
        for line in block.strip().splitlines():
            found += [part.strip() for part in line.strip().split("  ") if part.strip()]
    return found


@cache
def recurrent_modules() -> dict[str, Any]:
    """Modules whose forward is one call that takes its weights as a list."""
    from torch import nn

    return {
        "lstm": nn.LSTM(4, 5, batch_first=True), "lstm2": nn.LSTM(4, 5, 2, bidirectional=True),
        "lstm3": nn.LSTM(4, 5, proj_size=2), "gru": nn.GRU(4, 5), "gru2": nn.GRU(4, 5, 2, bias=False), "rnn": nn.RNN(4, 5),
        "rnn2": nn.RNN(4, 5, nonlinearity="relu"),
        "lstm_cell": nn.LSTMCell(4, 5), "gru_cell": nn.GRUCell(4, 5), "rnn_cell": nn.RNNCell(4, 5),
        "rnn_cell2": nn.RNNCell(4, 5, nonlinearity="relu"),
    }  # fmt: skip


def environment() -> dict[str, Any]:
    """The tensors that the expressions name: the same ones every time."""
    import torch

    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Any:
        return torch.randn(*shape, generator=generator)

    x, y = normal(2, 3, 4), normal(2, 3, 4)
    i = torch.randint(0, 2, (2, 3, 4), generator=generator)
    return {
        "torch": torch, "F": torch.nn.functional, "x": x, "y": y, "m": normal(4, 4), "v": normal(4), "s": torch.tensor(0.5),
        "i": i, "i1": i + 1, "b": i > 0, "h": normal(2, 3, 4).half(), "c": torch.complex(normal(3, 4), normal(3, 4)),
        "p": normal(2, 4, 4, 4), "q": torch.tensor([0.2]), "w3": normal(2, 4, 4),
        "mk": torch.ones(3, 3, dtype=torch.bool).tril(), "q2": torch.tensor([0.1, 0.9]), "wave": normal(2, 32),
        "hann": torch.hann_window(8), "grid": normal(2, 4, 5, 2).tanh(), "theta": normal(2, 2, 3),
        **recurrent_modules(),
        "d": normal(2, 3, 4).double(), "image": normal(2, 3, 6, 6), "k": torch.tensor([2, 0, 1]),
    }  # fmt: skip
